// The shadow accumulator of a PE with elastic links and OVERLAP. It takes a finished sum when the one before has left, and the next tile
// waits for that. In its first cycle there the sum still stands in the PE's own accumulator.
`include "parameters.svh"
module shadow (
    input clk,
    input rst,
    input done,         // the PE's sum is finished at the end of this cycle
    input leaving,      // the shadow gives its last sum in this cycle
    input shift,        // take the sum of the row above
    input signed [`ACC-1:0] acc,
    input signed [`ACC-1:0] above,
    output signed [`ACC-1:0] below,
    output handed,      // the finished sum is the shadow's from the next cycle on
    output reg waiting  // a finished sum waits in the accumulator
);
    reg signed [`ACC-1:0] held;
    reg fresh, full;
    assign handed = (done | waiting) & (~full | leaving);
    assign below = fresh ? acc : held;
    always @(posedge clk) begin
        waiting <= ~rst & (done | waiting) & ~handed;
        full <= ~rst & (handed | full & ~leaving);
        fresh <= ~rst & handed;
        held <= shift ? above : below;
    end
endmodule
