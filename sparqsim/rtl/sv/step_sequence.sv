// step_control for BIT_SCALABLE designs: a step takes as many cycles as `next` says in each of them, and hands STATE bits on from one
// to the next. In lockstep operands stay on the links until the whole array advances; with elastic links a PE holds them itself.
module step_sequence #(parameter WIDTH = 8, DEPTH = 0, STATE = 0) (
    input clk,
    input rst,
    input phase,            // lockstep: this is not the first cycle of a wave
    input advance,          // lockstep: this is the last cycle of a wave
    input valid,            // the operands are there
    input room,             // every next link has a free slot
    input [WIDTH-1:0] operands,
    input [STATE:0] next,   // {state after this cycle, the step goes on after it}
    output [WIDTH-1:0] used,
    output start,           // first cycle of a step
    output [STATE:0] now,   // {state, any cycle of a step but the first}
    output finish           // the step's last cycle (lockstep: the wave's)
);
    reg [STATE:0] kept;
    assign now = kept;
    wire work = start | now[0];
    always @(posedge clk) begin
        kept <= next;
        kept[0] <= ~rst & work & next[0];
    end

    generate
        if (DEPTH == 0) begin : lockstep
            assign used = operands;
            assign start = valid & ~phase;
            assign finish = valid & advance;
        end else begin : elastic
            reg [WIDTH-1:0] held;
            always @(posedge clk) if (start) held <= operands;
            assign used = now[0] ? held : operands;
            assign start = valid & room & ~now[0];
            assign finish = work & ~next[0];
        end
    endgenerate
endmodule
