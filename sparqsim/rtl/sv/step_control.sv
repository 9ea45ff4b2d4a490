// When a PE works. In lockstep (DEPTH = 0) operands stay on the links until the whole array advances; with elastic links
// a PE starts alone, frees its input slots at once and holds the operands of a second cycle itself.
module step_control #(parameter WIDTH = 8, DEPTH = 0) (
    input clk,
    input rst,
    input phase,    // lockstep: this is the second cycle of a wave
    input advance,  // lockstep: this is the last cycle of a wave
    input valid,    // the operands are there
    input room,     // every next link has a free slot
    input [WIDTH-1:0] operands,
    input two,      // the operands need two cycles
    output [WIDTH-1:0] used,
    output start,   // first cycle of a step
    output second,  // second cycle of a step
    output finish   // the step's last cycle (lockstep: the wave's)
);
    generate
        if (DEPTH == 0) begin : lockstep
            assign used = operands;
            assign start = valid & ~phase;
            assign second = valid & phase & two;
            assign finish = valid & advance;
        end else begin : elastic
            reg busy;
            reg [WIDTH-1:0] held;
            always @(posedge clk) begin
                busy <= ~rst & start & two;
                if (start) held <= operands;
            end
            assign used = busy ? held : operands;
            assign start = valid & room & ~busy;
            assign second = busy;
            assign finish = second | start & ~two;
        end
    endgenerate
endmodule
