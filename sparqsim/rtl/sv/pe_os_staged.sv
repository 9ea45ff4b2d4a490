// pe_os with a register behind its multipliers, for steps of one cycle: a step starts and passes its operands on as there, and is added
// a cycle later.
`include "parameters.svh"
module pe_os_staged #(`PE_PARAMETERS, parameter OVERLAP = 0, DEPTH = 0) (
    input clk,
    input rst,
    input phase,
    input advance,
    input valid,
    input room,
    input first,
    input last,
    input [AW-1:0] a,
    input [WW-1:0] w,
    output start,
    output reg done,  // a tile's last step is added in this cycle
    output stall,
    input shift,
    input signed [`ACC-1:0] above,
    output signed [`ACC-1:0] below,
    output reg signed [`ACC-1:0] acc
);
    wire [AW-1:0] a_used;
    wire [WW-1:0] w_used;
    wire first_used, last_used, second, finish;
    step_control #(AW + WW + 2, DEPTH) control(
        .clk(clk), .rst(rst), .phase(phase), .advance(advance), .valid(valid), .room(room), .operands({first, last, w, a}),
        .two(1'b0), .used({first_used, last_used, w_used, a_used}), .start(start), .second(second), .finish(finish));
    assign stall = 1'b0;

    // Of the step that is added in this cycle.
    reg work, restart;
    wire signed [`VALUE-1:0] value;
    dot_staged #(`PE_PASS) dot(clk, a_used, w_used, value);
    always @(posedge clk) begin
        work <= ~rst & start;
        restart <= first_used;
        done <= ~rst & finish & last_used;
    end
    wire signed [`ACC-1:0] sum = (restart ? 0 : acc) + value;

    generate
        if (OVERLAP != 0) begin : shadowed
            reg signed [`ACC-1:0] shadow;
            always @(posedge clk)
                if (done) shadow <= sum;
                else if (shift) shadow <= above;
            assign below = shadow;
            always @(posedge clk)
                if (rst) acc <= 0;
                else if (work) acc <= sum;
        end else begin : plain
            assign below = acc;
            always @(posedge clk)
                if (rst) acc <= 0;
                else if (work) acc <= sum;
                else if (shift) acc <= above;
        end
    endgenerate
endmodule
